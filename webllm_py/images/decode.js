// Decodes images with the browser's own decoders. The value: an async function from the bytes of a file to
// {width, height, pixels}: RGBA, a byte each, on white where it is transparent.
async (bytes, mostPixels) => {
  const bitmap = await createImageBitmap(new Blob([bytes]), { colorSpaceConversion: "none" });
  try {
    const { width, height } = bitmap;
    if (width * height > mostPixels) {
      return { width, height, pixels: null };
    }
    const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
    context.fillStyle = "white";
    context.fillRect(0, 0, width, height);
    context.drawImage(bitmap, 0, 0);
    const { data } = context.getImageData(0, 0, width, height);
    return { width, height, pixels: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) };
  } finally {
    bitmap.close();
  }
}
