/** Pictures that were dropped or pasted, as `data:` URLs. */
import type { Picture } from '../../chat/conversation'

export const LARGEST = 8 * 1024 * 1024
const KINDS = new Set(['image/png', 'image/jpeg', 'image/webp', 'image/gif'])

/** Those that can be sent; `refused` has the names of the others. */
export async function picturesOf(files: Iterable<File>): Promise<{ pictures: Picture[]; refused: string[] }> {
  const pictures: Picture[] = []
  const refused: string[] = []
  for (const file of files) {
    if (KINDS.has(file.type) && file.size <= LARGEST) pictures.push({ name: file.name, url: await urlOf(file) })
    else refused.push(file.name)
  }
  return { pictures, refused }
}

function urlOf(file: File): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader()
    reader.onload = () => resolve(String(reader.result))
    reader.onerror = () => reject(reader.error)
    reader.readAsDataURL(file)
  })
}
