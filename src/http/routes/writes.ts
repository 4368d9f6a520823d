import { createHash } from "node:crypto"
import { Effect, Schema } from "effect"
import { Commands } from "../../domain/Commands.ts"
import type { Answer, BatchAnswer, CommandRequest, Item } from "../../domain/Commands.ts"
import { Identifiers } from "../../domain/Identifiers.ts"
import type { Command, Kind, State } from "../../domain/Kind.ts"
import type { IdempotencyKey } from "../../domain/ledger/Ledger.ts"
import { formatToken } from "../../domain/ledger/Token.ts"
import { bodyOf, causeOf, keyOf, readable } from "../Exchange.ts"
import type { Exchange } from "../Exchange.ts"
import { batchOperation, commandOperation } from "../openapi/kinds.ts"
import { PROBLEMS } from "../problems.ts"
import type { FieldFault, ProblemName } from "../problems.ts"
import { uuid } from "../query.ts"
import { ifMatch } from "../request/headers.ts"
import { changeStatus, etag, json, jsonBytes, noContent, PRIVATE } from "../respond.ts"
import type { Reply } from "../respond.ts"
import type { Route } from "../route.ts"
import { check, invalid, valid } from "../validate.ts"

const JSON_ONLY = ["application/json"], PATCHES = ["application/json", "application/merge-patch+json"]
const MOST_ITEMS = 1_000

const batchOf = (item: Schema.Codec<unknown>) => Schema.Struct({
  items: Schema.Array(item).check(Schema.makeFilter(
    (items) => items.length >= 1 && items.length <= MOST_ITEMS ? undefined : `must have 1 to ${MOST_ITEMS} items`,
    { toJsonSchema: () => ({ minItems: 1, maxItems: MOST_ITEMS }) }
  ))
}) as unknown as Schema.Codec<{ readonly items: readonly unknown[] }>
/** What is wrong with an item is said of the item. */
const Batch = batchOf(Schema.Unknown)

const sha256 = (...parts: readonly (string | Uint8Array)[]): Uint8Array => {
  const hash = createHash("sha256")
  for (const part of parts) hash.update(part)
  return hash.digest()
}

/** Every route that changes an entity: for every kind, from its commands. */
export const writeRoutes = (kinds: readonly Kind[]) =>
  Effect.gen(function*() {
    const commands = yield* Commands, { authenticate } = yield* Identifiers
    const run = Effect.runPromiseWith(yield* Effect.context<never>())

    const keyed = (exchange: Exchange, bytes: Uint8Array): IdempotencyKey | null => {
      const key = keyOf(exchange)
      return key === null ? null : {
        digest: sha256(exchange.principal.id, "\0", key),
        request: sha256(exchange.c.req.method, " ", exchange.c.req.path, "\n", bytes)
      }
    }

    const requestOf = (exchange: Exchange, kind: Kind, command: Command, input: State, bytes: Uint8Array): CommandRequest => {
      const condition = command.at === "create" ? null : readable(ifMatch(exchange.c.req.header("if-match")))
      return {
        kind,
        command: command.name,
        input,
        versions: condition === null || condition.any ? null : condition.versions,
        key: keyed(exchange, bytes),
        cause: causeOf(exchange)
      }
    }

    const replayed = (yes: boolean) => yes ? { "Idempotency-Replayed": "true" } : undefined

    const respond = (kind: Kind, answer: Answer): Reply => {
      const headers = {
        "ETag": etag(answer.version),
        "Consistency-Token": formatToken(answer.token, authenticate),
        "Cache-Status": changeStatus(answer.synced),
        "Cache-Control": PRIVATE,
        ...answer.status === 201 ? { Location: `/v1/${kind.plural}/${answer.id}` } : undefined,
        ...replayed(answer.replayed)
      }
      return answer.payload === null ? noContent(204, headers) : jsonBytes(answer.status, answer.payload, headers)
    }

    /** The headers are read before the body is judged: what cannot be read is 400, whatever else is wrong. */
    const withBody = (kind: Kind, command: Command, types: readonly string[]) => async (exchange: Exchange): Promise<Reply> => {
      const { bytes, json } = await bodyOf(exchange, types)
      const request = requestOf(exchange, kind, command, {}, bytes)
      const input = valid(command.input, json)
      return respond(kind, await run(command.at === "create"
        ? commands.create({ ...request, input })
        : commands.change({ ...request, input, id: uuid(exchange.c.req.param("id")!) })))
    }

    const remove = (kind: Kind, command: Command) => async (exchange: Exchange): Promise<Reply> =>
      respond(kind, await run(commands.change({ ...requestOf(exchange, kind, command, {}, new Uint8Array()), id: uuid(exchange.c.req.param("id")!) })))

    const batch = (kind: Kind, command: Command) => async (exchange: Exchange): Promise<Reply> => {
      const { bytes, json } = await bodyOf(exchange, JSON_ONLY)
      const request = requestOf(exchange, kind, command, {}, bytes)
      const items = valid(Batch, json).items.map((item, i): Item<readonly FieldFault[]> => {
        const checked = check(command.input, item, `#/items/${i}`)
        return "faults" in checked ? { fault: checked.faults } : { input: checked.value }
      })
      return batchAnswer(await run(commands.createMany({ ...request, items })))
    }

    const batchAnswer = (answer: BatchAnswer<readonly FieldFault[]>): Reply => {
      // Without `instance`: a repetition has the same bytes.
      const problem = (name: ProblemName, detail: string, errors?: readonly FieldFault[]) =>
        ({ type: `/problems/${name}`, title: PROBLEMS[name].title, status: PROBLEMS[name].status, detail, ...errors && { errors } })
      const results = answer.results.map((result) =>
        result.status === 201 ? { status: 201, id: result.id, versionId: 1 }
        : result.status === 422 ? { status: 422, problem: problem("invalid", invalid(result.fault).message, result.fault) }
        : { status: 409, problem: problem(result.problem, PROBLEMS[result.problem].help) })
      return json(200, { results }, {
        "Cache-Status": changeStatus(answer.synced),
        "Cache-Control": PRIVATE,
        ...answer.token && { "Consistency-Token": formatToken(answer.token, authenticate) },
        ...replayed(answer.replayed)
      })
    }

    return kinds.flatMap((kind) => Object.values(kind.commands).flatMap((command): readonly Route[] => {
      const scopes = [`${kind.scope}:write`], all = `/v1/${kind.plural}`
      if (command.at === "create") {
        return [
          { method: "POST", path: all, scopes, about: commandOperation(kind, command, JSON_ONLY), handle: withBody(kind, command, JSON_ONLY) },
          { method: "POST", path: `${all}/batch`, scopes, about: batchOperation(kind, batchOf(command.input), JSON_ONLY), handle: batch(kind, command) }
        ]
      }
      if (command.at === "change") return [{ method: "PATCH", path: `${all}/:id`, scopes, about: commandOperation(kind, command, PATCHES), handle: withBody(kind, command, PATCHES) }]
      if (command.at === "delete") return [{ method: "DELETE", path: `${all}/:id`, scopes, about: commandOperation(kind, command, []), handle: remove(kind, command) }]
      return [{ method: "POST", path: `${all}/:id/${command.at.action}`, scopes, about: commandOperation(kind, command, JSON_ONLY), handle: withBody(kind, command, JSON_ONLY) }]
    }))
  })
