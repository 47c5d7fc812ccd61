// Numbers as people read them.

const whole = new Intl.NumberFormat("en");

export const count = (number) => whole.format(number);

export const tokens = (number) => (number === 1 ? "1 token" : `${count(number)} tokens`);

export function bytes(number) {
  if (number < 1e6) return `${Math.max(1, Math.round(number / 1e3))} kB`;
  if (number < 1e9) return `${(number / 1e6).toFixed(number < 1e7 ? 1 : 0)} MB`;
  return `${(number / 1e9).toFixed(2)} GB`;
}

export function seconds(number) {
  if (number < 1) return `${Math.round(number * 1e3)} ms`;
  return `${number.toFixed(number < 10 ? 1 : 0)} s`;
}

export function left(number) {
  if (number < 90) return `${Math.max(1, Math.round(number))} s left`;
  return `${Math.round(number / 60)} min left`;
}

/** 4.2 M, 1.1 B: parameters of a model. */
export function parameters(number) {
  if (number < 1e6) return `${Math.round(number / 1e3)} K`;
  if (number < 1e9) return `${(number / 1e6).toFixed(number < 1e7 ? 1 : 0)} M`;
  return `${(number / 1e9).toFixed(1)} B`;
}

export const speed = (number) => `${number < 10 ? number.toFixed(1) : count(Math.round(number))} tok/s`;
