/** Which language is spoken, and how things are said in it. */
import { computed, type ComputedRef } from 'vue'
import { keptHere } from '../live/store'
import { en, type Words } from './en'
import { zh } from './zh'

export type Language = 'en' | 'zh'

const LANGUAGES: Readonly<Record<Language, Words>> = { en, zh }

const kept = keptHere<{ language: Language | '' }>('pointsman.language', { language: '' })

export const language: ComputedRef<Language> = computed(
  () => kept.language || (navigator.language.startsWith('zh') ? 'zh' : 'en'),
)
export const words: ComputedRef<Words> = computed(() => LANGUAGES[language.value])

export function speak(chosen: Language): void {
  kept.language = chosen
  localStorage.setItem('pointsman.language', JSON.stringify(kept))
}

/** `text` with what `values` has for each `{name}` in it. */
export function say(text: string, values: Readonly<Record<string, string | number>>): string {
  return text.replace(/\{(\w+)\}/gu, (whole, name: string) => (name in values ? String(values[name]) : whole))
}
