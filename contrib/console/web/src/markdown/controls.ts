/**
 * Characters that make a text look like another one: control characters, and those that turn the direction of what follows
 * (U+202A to U+202E, U+2066 to U+2069). They are shown by their names in place of being obeyed.
 */
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b\u2028\u2029\u202a-\u202e\u2060\u2066-\u2069\ufeff]/gu

/** `text` with such characters as `⟨U+202E⟩`; a carriage return at the end of a line goes. */
export function visible(text: string): string {
  return text.replaceAll('\r\n', '\n').replace(UNSEEN, (found) => {
    const code = found.codePointAt(0) ?? 0
    return `⟨U+${code.toString(16).toUpperCase().padStart(4, '0')}⟩`
  })
}
