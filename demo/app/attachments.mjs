// The images of the message that is being written: picked, dropped or pasted, shown and removed.

import { announce } from "./announcer.mjs";
import { goOn } from "./focus.mjs";
import { openFiles } from "./models.mjs";

const $ = (selector) => document.querySelector(selector);

// A camera's image is shrunk: it goes to the worker with every question of its conversation, and models
// see no more of it.
const MOST_BYTES = 8e6;
const MOST_PIXELS = 16e6;
const LONGEST = 2048; // pixels, then

export class Attachments {
  #list = $("#attachments");
  #images = [];
  #work = Promise.resolve(); // they stand in the order in which they came
  #onProblem;

  /** `onProblem(message)` is told of a file that is no image. */
  constructor(onProblem) {
    this.#onProblem = onProblem;
    openFiles("#attach", "#image-input", (files) => this.add(files));
    this.#list.addEventListener("click", ({ target }) => {
      const button = target.closest("button");
      if (button) this.#remove([...this.#list.children].indexOf(button.closest("li")));
    });
  }

  /** [{name, url}, ...]; `url` is a data: URL. */
  get images() {
    return this.#images;
  }

  set images(images) {
    this.#images = images;
    this.#list.replaceChildren(...images.map(row));
    this.#list.hidden = images.length === 0;
  }

  /** Files of images. */
  add(files) {
    for (const file of files) this.#work = this.#work.then(() => this.#add(file));
  }

  async #add(file) {
    try {
      const image = await read(file);
      this.images = [...this.#images, image];
      announce(`${file.name} was added.`);
    } catch (error) {
      this.#onProblem(`${file.name} cannot be read by this browser: ${error.message} PNG, JPEG and WebP files can.`);
    }
    goOn();
  }

  #remove(index) {
    const [{ name }] = this.#images.slice(index);
    this.images = this.#images.filter((_, at) => at !== index);
    announce(`${name} was removed.`);
    goOn();
  }
}

/** Whether all of these files are images, and there are any. */
export function areImages(files) {
  return files.length > 0 && files.every(({ type }) => type.startsWith("image/"));
}

/** A list of images as a question shows them. */
export function pictures(images) {
  const list = document.createElement("div");
  list.className = "pictures";
  list.append(...images.map(picture));
  return list;
}

/** Decoded once, as the engine's worker will do it: what cannot be is told before it is sent. */
async function read(file) {
  const bitmap = await createImageBitmap(file);
  const isLarge = file.size > MOST_BYTES || bitmap.width * bitmap.height > MOST_PIXELS;
  const blob = isLarge ? await shrunk(bitmap) : file;
  bitmap.close();
  const reader = new FileReader();
  await new Promise((resolve, reject) => {
    reader.onload = resolve;
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
  return { name: file.name, url: reader.result };
}

/** On white where it is transparent, as the engine has it. */
function shrunk(bitmap) {
  const scale = Math.min(1, LONGEST / Math.max(bitmap.width, bitmap.height));
  const [width, height] = [bitmap.width, bitmap.height].map((side) => Math.max(1, Math.round(side * scale)));
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0, width, height);
  return canvas.convertToBlob({ type: "image/jpeg", quality: 0.92 });
}

function picture({ name, url }) {
  const image = document.createElement("img");
  image.src = url;
  image.alt = name;
  image.title = name;
  return image;
}

function row(image) {
  const [item, button] = ["li", "button"].map((tag) => document.createElement(tag));
  button.type = "button";
  button.title = `Remove ${image.name}`;
  button.setAttribute("aria-label", button.title);
  button.textContent = "×";
  item.append(picture(image), button);
  return item;
}
