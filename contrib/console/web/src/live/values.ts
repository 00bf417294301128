/** A configuration as a list of its values, each with where it comes from. */
export interface Value {
  readonly path: string
  readonly value: string
  readonly origin: string
}

export function flat(values: unknown, origins: Readonly<Record<string, string>>): Value[] {
  const found: Value[] = []
  walk(values, '', (path, value) => found.push({ path, value, origin: origins[path] ?? '' }))
  return found
}

function walk(value: unknown, path: string, tell: (path: string, value: string) => void): void {
  if (Array.isArray(value)) {
    if (!value.length) tell(path, '[]')
    value.forEach((each, index) => walk(each, `${path}[${index}]`, tell))
  } else if (value !== null && typeof value === 'object') {
    const entries = Object.entries(value)
    if (!entries.length) tell(path, '{}')
    for (const [key, each] of entries) walk(each, path ? `${path}.${key}` : key, tell)
  } else {
    tell(path, String(value))
  }
}
