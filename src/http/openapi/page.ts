import { createHash } from "node:crypto"
import { html, raw } from "hono/html"
import { PROBLEMS } from "../problems.ts"
import type { ProblemName } from "../problems.ts"
import { problemName } from "./problems.ts"
import type { Document, OperationObject, ParameterObject, Reference } from "./documentOf.ts"
import type { JsonSchema } from "./Operation.ts"
import { membersOf, nameIn, typeOf } from "./typeOf.ts"

const STYLE = `
:root { color-scheme: light dark; --line: light-dark(#d0d5dd, #3a4250); --quiet: light-dark(#52606d, #9fb0c3); --link: light-dark(#0b57d0, #8ab4f8); --plate: light-dark(#f3f5f8, #1d232c) }
body { font: 16px/1.55 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem 1.25rem 4rem }
a { color: var(--link) }
code { font: .92em/1.4 ui-monospace, monospace; overflow-wrap: anywhere }
h1 { margin-bottom: 0 } h2 { margin-top: 3rem; border-bottom: 1px solid var(--line) } h3 { margin: 0 0 .25rem; font-size: 1.05rem } h4 { margin: 1rem 0 .25rem; font-size: .95rem }
article { margin: 1.25rem 0; padding: 1rem; border: 1px solid var(--line); border-radius: .5rem }
.method { display: inline-block; min-width: 4.5rem; font-weight: 700 }
.quiet { color: var(--quiet) }
.wide { overflow-x: auto }
table { border-collapse: collapse; width: 100%; font-size: .93rem }
th, td { text-align: left; vertical-align: top; padding: .3rem .75rem .3rem 0; border-bottom: 1px solid var(--line) }
nav ul { columns: 18rem; padding-left: 1.1rem }
.skip { position: absolute; left: -99rem } .skip:focus { left: 1rem; background: Canvas; padding: .5rem }
p, li { max-width: 70ch } article p { margin: .25rem 0 }
`

/** Nothing is loaded from anywhere, nothing runs, and only this style counts. */
export const contentSecurityPolicy =
  `default-src 'none'; style-src 'sha256-${createHash("sha256").update(STYLE).digest("base64")}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`

/** The problem that a schema of the document describes. */
const PROBLEM_OF = Object.fromEntries((Object.keys(PROBLEMS) as ProblemName[]).map((name) => [problemName(name), name]))

type Html = ReturnType<typeof html>

/** Text of the document: paragraphs, and words in backquotes. */
const prose = (text: string) => text.split("\n\n").map((paragraph) => html`<p>${words(paragraph)}</p>`)
const words = (text: string) => text.split("`").map((part, i) => i % 2 === 0 ? part : html`<code>${part}</code>`)

const table = (caption: string, heads: readonly string[], rows: readonly (readonly (string | Html | readonly (string | Html)[])[])[]) => rows.length === 0 ? "" : html`
<h4>${caption}</h4><div class="wide" role="region" aria-label="${caption}" tabindex="0"><table>
<thead><tr>${heads.map((head) => html`<th scope="col">${head}</th>`)}</tr></thead>
<tbody>${rows.map((cells) => html`<tr>${cells.map((cell) => html`<td>${cell}</td>`)}</tr>`)}</tbody></table></div>`

/** Names of schemas in a type lead to where they are explained. */
const linked = ({ components: { schemas } }: Document, schema: JsonSchema) =>
  typeOf(schema).split(/([A-Za-z][\w-]*)/).map((word) => Object.hasOwn(schemas, word) ? html`<a href="#schema-${word}">${word}</a>` : word)

const membersTable = (document: Document, caption: string, schema: JsonSchema) =>
  table(caption, ["Member", "What it is", "Always there"], membersOf(schema).map(({ name, type, required }) =>
    [html`<code>${name}</code>`, Object.hasOwn(document.components.schemas, type) ? html`<a href="#schema-${type}">${type}</a>` : type, required ? "yes" : "no"]))

const isReference = (it: ParameterObject | Reference): it is Reference => "$ref" in it

const parameterRows = ({ components }: Document, { parameters }: OperationObject) =>
  parameters.map((it) => isReference(it) ? components.parameters[nameIn(it.$ref)]! : it).map(({ name, in: where, description = "", schema }) =>
    [html`<code>${name}</code>`, where, [...words(description), html` <span class="quiet">${typeOf(schema)}</span>`]])

const answerRows = (document: Document, { responses }: OperationObject) =>
  Object.entries(responses).map(([status, { description, headers, content = {} }]) => [
    html`<code>${status}</code>`,
    [description, ...Object.entries(content).map(([type, { schema }]) => html`<br><span class="quiet">${type}:</span> ${linked(document, schema)}`)],
    Object.keys(headers).map((name) => html`<code>${name}</code> `)
  ])

const operation = (document: Document, method: string, path: string, it: OperationObject) => html`
<article id="${it.operationId}" aria-labelledby="${it.operationId}-name">
<h3 id="${it.operationId}-name"><span class="method">${method.toUpperCase()}</span> <code>${path}</code></h3>
<p>${it.summary}. ${words(it.description ?? "")}</p>
<p class="quiet">${it.security.flatMap(({ bearer }) => bearer).map((scope) => html`Needs <code>${scope}</code>.`)}${it.security.length === 0 ? "Needs no key." : ""}</p>
${table("Parameters", ["Name", "In", "What it is"], parameterRows(document, it))}
${Object.entries(it.requestBody?.content ?? {}).map(([type, { schema }]) => membersTable(document, `Body: ${type}`, schema))}
${table("Answers", ["Status", "What it is", "Headers"], answerRows(document, it))}
${Object.entries(it.responses).filter(([status]) => status < "3").flatMap(([status, { content = {} }]) => Object.values(content).map(({ schema }) => membersTable(document, `Body of ${status}`, schema)))}
</article>`

/** The document as a page that needs no script and no other request. */
export const pageOf = (document: Document): Html => {
  const { info, paths, components } = document
  const all = Object.entries(paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, it]) => ({ method, path, it })))
  const byTag = [...Map.groupBy(all, ({ it }) => it.tags[0]!)]
  return html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>${info.title}: the HTTP interface</title><style>${raw(STYLE)}</style></head>
<body><a class="skip" href="#main">To the content</a>
<header><h1>${info.title}</h1><p class="quiet">The HTTP interface, version ${info.version}. For programs: <a href="/openapi.json">OpenAPI ${document.openapi}</a>.</p></header>
<nav aria-label="Contents"><ul>
${byTag.map(([tag]) => html`<li><a href="#tag-${tag}">${tag}</a></li>`)}
<li><a href="#schemas">Schemas</a></li><li><a href="#problems">Problems</a></li></ul></nav>
<main id="main">${prose(info.description)}
<p>${words(components.securitySchemes["bearer"]!.description!)}</p>
${byTag.map(([tag, operations]) => html`<section aria-labelledby="tag-${tag}"><h2 id="tag-${tag}">${tag}</h2>
<ul>${operations.map(({ method, path, it }) => html`<li><a href="#${it.operationId}"><code>${method.toUpperCase()} ${path}</code></a> ${it.summary}</li>`)}</ul>
${operations.map(({ method, path, it }) => operation(document, method, path, it))}</section>`)}
<section aria-labelledby="schemas"><h2 id="schemas">Schemas</h2>
${Object.entries(components.schemas).filter(([name]) => !Object.hasOwn(PROBLEM_OF, name)).map(([name, schema]) => html`<article id="schema-${name}"><h3>${name}</h3><p>${words(schema.description ?? "")}</p>
${membersOf(schema).length === 0 ? html`<p>${typeOf(schema)}</p>` : membersTable(document, "Members", schema)}</article>`)}</section>
<section aria-labelledby="problems"><h2 id="problems">Problems</h2>
${membersTable(document, "Members of every problem", components.schemas[problemName("invalid")]!)}
${table("Every problem", ["Name", "Status", "What it is"], Object.entries(PROBLEM_OF).map(([schema, name]) =>
    [html`<a id="schema-${schema}" href="/problems/${name}"><code>${name}</code></a>`, String(PROBLEMS[name].status), [`${PROBLEMS[name].title}. `, ...words(PROBLEMS[name].help)]]))}
</section></main></body></html>`
}
