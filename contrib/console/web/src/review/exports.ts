/** A review as files that others read. */
import type { Finding } from './findings'

/** SARIF 2.1.0, as code hosts and editors take it. */
export function sarif(findings: readonly Finding[], file: string): string {
  const results = findings.map((each) => ({
    ruleId: `review/${each.severity}`,
    level: each.severity,
    message: { text: [each.title, each.detail, each.suggestion].filter(Boolean).join('\n\n') },
    locations: [
      {
        physicalLocation: {
          artifactLocation: { uri: encodeURI(file) },
          ...(each.line ? { region: { startLine: each.line } } : {}),
        },
      },
    ],
  }))
  const driver = { name: 'pointsman', rules: [] }
  const said = {
    $schema: 'https://json.schemastore.org/sarif-2.1.0.json',
    version: '2.1.0',
    runs: [{ tool: { driver }, results }],
  }
  return `${JSON.stringify(said, null, 2)}\n`
}

export function asMarkdown(findings: readonly Finding[], file: string): string {
  const parts = findings.map((each) => {
    const head = `## ${each.line ? `${file}:${each.line}` : file} · ${each.severity}\n\n${oneLine(each.title)}\n`
    const suggestion = each.suggestion ? `\n${fenced(each.suggestion)}\n` : ''
    return `${head}${each.detail ? `\n${each.detail}\n` : ''}${suggestion}`
  })
  return `# ${file}\n\n${parts.join('\n') || '–\n'}`
}

function oneLine(text: string): string {
  return text.replace(/\s+/gu, ' ')
}

function fenced(code: string): string {
  const longest = Math.max(2, ...[...code.matchAll(/`+/gu)].map((each) => each[0].length))
  const fence = '`'.repeat(longest + 1)
  return `${fence}\n${code}\n${fence}`
}
