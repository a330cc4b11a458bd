// How the page writes things.

export const $ = (id) => document.getElementById(id);

export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export function time(ms) {
  if (ms === undefined || ms === null) return "–";
  if (ms < 1) return `${Math.round(ms * 1000)} µs`;
  return ms < 1000 ? `${ms.toPrecision(3)} ms` : `${(ms / 1000).toPrecision(3)} s`;
}

export function bytes(count) {
  if (count < 1000) return `${count} bytes`;
  return count < 1e6 ? `${Math.round(count / 1000)} kB` : `${(count / 1e6).toFixed(1)} MB`;
}

const SHORT = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export const count = (number, one, many = `${one}s`) =>
  `${SHORT.format(number)} ${number === 1 ? one : many}`;

// Text if it is UTF-8 without control characters, else hex.
export function readable(content) {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(content);
    if (!/[\0-\x08\x0b\x0c\x0e-\x1f]/.test(text)) return text;
  } catch {
    // not text
  }
  return Array.from(content, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
}

// Directions and invisible characters could make one name look like another.
export const shown = (text) =>
  text.replace(
    /[\p{Cc}\p{Cf}\u2028\u2029]/gu,
    (character) => `\\u{${character.codePointAt(0).toString(16)}}`,
  );
