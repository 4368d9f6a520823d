/**
 * Holds the documents against the code.
 *
 *     npm run docs:check                 exits with 1 and says what does not agree
 *     npm run docs:check -- --write      writes what is generated, and moves the places in requirements.md after their lines
 *
 * Generated: docs/configuration.md and .env.example from the variables, docs/problems.md from the problems.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { stepsOf } from "../examples/readme.ts";
import { PROBLEMS } from "../src/http/problems.ts";
import { NOT_SUPPORTED, VARIABLES } from "../src/infrastructure/configuration/variables.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const REQUIRED = join(ROOT, "../shared/requirements.md");

const write = process.argv.includes("--write");
const faults: string[] = [];
const read = (path: string): string => readFileSync(join(ROOT, path), "utf8");

const generated = (path: string, text: string): void => {
  if (existsSync(join(ROOT, path)) && read(path) === text) return;
  if (write) writeFileSync(join(ROOT, path), text);
  else faults.push(`${path} is not what the code says: npm run docs:check -- --write`);
};

const table = (rows: readonly (readonly string[])[]): string => rows.map((cells) => `| ${cells.join(" | ")} |\n`).join("");

const variables = Object.entries(VARIABLES).map(([name, { about, fallback }]) => ({ name, about, fallback }));

const configuration = `# Configuration

Every process reads its configuration from the environment, and from nowhere else. An empty value counts as none. A wrong configuration stops the start with one message that lists every fault; values are never shown in it.

${table([["Variable", "Default", "What it is"], ["---", "---", "---"], ...variables.map(({ name, about, fallback }) => [`\`${name}\``, fallback === "" ? "" : `\`${fallback}\``, about])])}
\`HOLDFAST_FOLDER\` (\`.holdfast\`) is the folder of the embedded Postgres; it is read where there is no \`DATABASE_URL\`.

To keep them in a file: copy \`.env.example\` to \`.env\`, change it, and read it into your shell with \`set -a; . ./.env; set +a\`.

## What runs on what

| Set | Database | Cache |
| --- | --- | --- |
| nothing | embedded Postgres | memory |
| \`REDIS_URL\` | embedded Postgres | Redis |
| \`DATABASE_URL\` | that one; if it cannot be reached, an error | \`redis://127.0.0.1:6379\` |
| \`DATABASE_URL\` and \`CACHE_PROVIDER=memory\` | that one | memory, for \`npm start\` only |
| \`DATABASE_URL\` and \`REDIS_URL\` | that one | that one |

\`npm run api\` and \`npm run relay\` are two processes: they need \`DATABASE_URL\`, and refuse the memory cache. The first line of the log says what runs on what.

A \`REDIS_URL\` that cannot be used, by its form or because nobody answers, does not stop a start: the service is degraded, goes on from Postgres and tries again.

## Not in this version

These belong to providers that are not there yet. A start that finds one of them set is refused, since to ignore it would be to run something else than was asked for: ${NOT_SUPPORTED.map((name) => `\`${name}\``).join(", ")}.
`;

const environment = `# Every variable with its default. Empty is the same as not set.
#   cp .env.example .env; set -a; . ./.env; set +a; npm start

${variables.map(({ name, about, fallback }) => `# ${about.replaceAll("`", "")}\n${name}=${fallback}\n`).join("\n")}`;

const problems = `# Problems

Every error is \`application/problem+json\` ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)): \`type\` is \`/problems/<name>\`, a page that says what is said here; \`instance\` carries the \`X-Request-Id\` of the answer; \`errors\` lists every fault with a JSON pointer or the name of a parameter. Some belong to kinds that are not there yet.

${table([["Name", "Status", "Title", "What to do"], ["---", "---", "---", "---"], ...Object.entries(PROBLEMS).map(([name, { status, title, help }]) => [`\`${name}\``, String(status), title, help])])}`;

/** A place and what stands there: `path:line` and the text behind it, in a line of code or in a block. */
const PLACE = /`([\w./-]+):(\d+)`( — `([^`\n]+)`|\n+```\w*\n([^`]*(?:`(?!``)[^`]*)*)```)/g;

const lines = (text: string): readonly string[] => text.split("\n").map((line) => line.trim());

const placed = (document: string): string =>
  document.replace(PLACE, (whole, path: string, line: string, rest: string, short?: string, block?: string) => {
    const wanted = lines((short ?? block!).trim());
    if (!existsSync(join(ROOT, path))) {
      faults.push(`docs/requirements.md names ${path}, which is not there`);
      return whole;
    }
    const file = lines(read(path));
    const stands = (at: number) => wanted.every((text, i) => (short === undefined ? file[at + i] === text : file[at + i]?.includes(text)));
    if (stands(Number(line) - 1)) return whole;
    const now = file.findIndex((_, at) => stands(at));
    if (now < 0) faults.push(`docs/requirements.md quotes of ${path} what is not in it: ${wanted[0]}`);
    else if (!write) faults.push(`docs/requirements.md says ${path}:${line}, and it is ${path}:${now + 1}: npm run docs:check -- --write`);
    return now < 0 ? whole : `\`${path}:${now + 1}\`${rest}`;
  });

const documents = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", ...readdirSync(join(ROOT, "docs"), { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".md")).map((name) => join("docs", name))];

generated("docs/configuration.md", configuration);
generated(".env.example", environment);
generated("docs/problems.md", problems);

const requirements = read("docs/requirements.md");
const moved = placed(requirements);
if (moved !== requirements && write) writeFileSync(join(ROOT, "docs/requirements.md"), moved);
// The list of what was asked for is kept elsewhere, and not everybody has it.
for (const [, id] of existsSync(REQUIRED) ? readFileSync(REQUIRED, "utf8").matchAll(/^\| ([A-Z]\d+) \|/gm) : []) {
  if (!new RegExp(`^### ${id} `, "m").test(requirements)) faults.push(`docs/requirements.md does not speak of ${id}`);
}

for (const document of documents) {
  const prose = read(document).replace(/```[^]*?```|`[^`\n]*`/g, "");
  for (const [, target = ""] of prose.matchAll(/\]\((?!https?:|#)([^)#\s]+)(?:#[^)]*)?\)/g)) {
    const path = join(dirname(document), target);
    if (!existsSync(join(ROOT, path)) || relative(".", path).startsWith("..")) faults.push(`${document} links to ${target}, which is not there`);
  }
}

const readme = read("README.md");
const steps = stepsOf(readme);
const ran = steps.map(({ commands }) => commands).join("").split("\n").filter((line) => line.includes("curl "));
const shown = readme.split("\n").filter((line) => /^(\w+=\$\()?curl /.test(line));
if (shown.length === 0 || ran.join("\n") !== shown.join("\n")) faults.push("examples/readme.ts does not run every curl line of README.md: each block of commands needs its output behind it");

for (const fault of faults) console.error(`- ${fault}`);
console.log(faults.length === 0 ? `${documents.length} documents agree with the code.` : `${faults.length} faults.`);
process.exitCode = faults.length === 0 ? 0 : 1;
