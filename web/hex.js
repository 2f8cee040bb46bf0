// Bytes, as people read them. No page of its own.

const ROW_BYTES = 16;
/** Bytes that are shown at most. */
export const SHOWN_BYTES_MAX = 4_096;

/** Offset, hexadecimal digits, and what can be read, a row for each 16 bytes. */
export function dump(bytes) {
  const rows = [];
  const shown = bytes.subarray(0, SHOWN_BYTES_MAX);
  for (let at = 0; at < shown.length; at += ROW_BYTES) {
    const row = shown.subarray(at, at + ROW_BYTES);
    const digits = Array.from(row, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const read = Array.from(row, (byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : ".")).join("");
    rows.push(`${at.toString(16).padStart(6, "0")}  ${digits.padEnd(3 * ROW_BYTES - 1)}  ${read}`);
  }
  if (bytes.length > shown.length) rows.push(`and ${bytes.length - shown.length} bytes more`);
  return rows.join("\n");
}

/** A number of bytes in words. */
export function size(count) {
  return count === 1 ? "1 byte" : `${count.toLocaleString("en")} bytes`;
}
