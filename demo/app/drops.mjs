// Files and folders dropped anywhere on the page, and images pasted there.

import { areImages } from "./attachments.mjs";

/**
 * `isWanted()`: whether a drop is of use now; `words()` say of what; `onFile(file)`;
 * `onFolder(files, name)`; `onEmpty()`: a folder without files; `onPasted(files)`: of images.
 */
export function acceptDrops({ isWanted, words, onFile, onFolder, onEmpty, onPasted }) {
  const veil = document.querySelector("#drop"); // a popover: it lies above an open dialog
  const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragenter", (event) => {
    veil.firstElementChild.textContent = words();
    if (carriesFiles(event)) veil.togglePopover(isWanted());
  });
  addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) veil.hidePopover();
  });
  addEventListener("dragover", (event) => {
    if (carriesFiles(event)) event.preventDefault();
  });
  addEventListener("drop", async (event) => {
    veil.hidePopover();
    if (!carriesFiles(event)) return;
    event.preventDefault(); // the browser would open the file in place of the page
    if (!isWanted()) return;
    // Items are gone after the first await. A file that is in no file system has no entry.
    const dropped = [...event.dataTransfer.items].filter((item) => item.kind === "file");
    const entries = dropped.map((item) => item.webkitGetAsEntry() ?? item.getAsFile());
    const files = (await Promise.all(entries.map(filesOf))).flat();
    const [first] = entries;
    if (files.length === 0) onEmpty();
    else if (entries.length > 1 || first.isDirectory) onFolder(files, first.isDirectory ? first.name : "Files");
    else onFile(files[0]);
  });
  takePastes(onPasted);
}

/** What is copied from a text, a table say, comes as text and as a picture of it: then it is text. */
function takePastes(onPasted) {
  addEventListener("paste", (event) => {
    const { files, types } = event.clipboardData;
    if (types.includes("text/plain") || document.querySelector("dialog[open]") || !areImages([...files])) return;
    event.preventDefault();
    onPasted([...files]);
  });
}

async function filesOf(entry) {
  if (entry instanceof File) return [entry];
  if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
  const reader = entry.createReader();
  const files = [];
  for (;;) {
    const batch = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (batch.length === 0) return files; // a reader hands out a hundred entries at most at a time
    files.push(...(await Promise.all(batch.filter((inner) => inner.isFile).map(filesOf))).flat());
  }
}
