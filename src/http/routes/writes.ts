import { createHash } from "node:crypto"
import { Effect, Schema } from "effect"
import { check } from "../../domain/check.ts"
import { Commands } from "../../domain/Commands.ts"
import type { Answer, BatchAnswer, CommandRequest, Item } from "../../domain/Commands.ts"
import { Erasure } from "../../domain/erasure/Erasure.ts"
import { Identifiers } from "../../domain/Identifiers.ts"
import type { Command, Kind, State } from "../../domain/Kind.ts"
import type { IdempotencyKey } from "../../domain/ledger/Ledger.ts"
import { formatToken } from "../../domain/ledger/Token.ts"
import { Keyring } from "../../domain/secrets/Keyring.ts"
import { bodyOf, causeOf, keyOf, readable } from "../Exchange.ts"
import type { Exchange } from "../Exchange.ts"
import { batchOperation, commandOperation } from "../openapi/kinds.ts"
import { invalid, PROBLEMS } from "../problems.ts"
import type { FieldFault, ProblemName } from "../problems.ts"
import { uuid } from "../query.ts"
import { ifMatch } from "../request/headers.ts"
import { cachingOf, changeStatus, etag, json, jsonBytes, noContent } from "../respond.ts"
import type { Reply } from "../respond.ts"
import type { Route } from "../route.ts"
import { valid } from "../validate.ts"

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

/** Every route that changes an entity: for every kind, from its commands. */
export const writeRoutes = (kinds: readonly Kind[]) =>
  Effect.gen(function*() {
    const commands = yield* Commands, erasure = yield* Erasure, { authenticate } = yield* Identifiers, keyring = yield* Keyring
    const run = Effect.runPromiseWith(yield* Effect.context<never>())

    const digest = (purpose: string, text: string) => Buffer.from(keyring.digest(purpose, text), "hex")
    /**
     * What is kept of a key and of its request. A short body could be guessed, so whoever has the database needs the keyring
     * to try one, and once a person was erased, who has both still needs the sender's key, which nobody keeps.
     */
    const keyed = (exchange: Exchange, bytes: Uint8Array): IdempotencyKey | null => {
      const key = keyOf(exchange), { method, path } = exchange.c.req
      return key === null ? null : {
        digest: digest("idempotency key", `${exchange.principal.id}\0${key}`),
        request: digest("idempotent request", `${key}\0${method} ${path}\0${createHash("sha256").update(bytes).digest("hex")}`)
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
        cause: causeOf(exchange),
        granted: (scope) => exchange.principal.scopes.has(scope)
      }
    }

    const replayed = (yes: boolean) => yes ? { "Idempotency-Replayed": "true" } : undefined

    const respond = (kind: Kind, answer: Answer): Reply => {
      const headers = {
        "ETag": etag(answer.version),
        "Consistency-Token": formatToken(answer.token, authenticate),
        "Cache-Status": changeStatus(answer.synced),
        "Cache-Control": cachingOf(kind),
        ...answer.status === 201 ? { Location: `/v1/${kind.plural}/${answer.id}` } : undefined,
        ...replayed(answer.replayed)
      }
      return answer.payload === null ? noContent(204, headers) : jsonBytes(answer.status, answer.payload, headers)
    }

    /** The headers are read before the body is judged: what cannot be read is 400, whatever else is wrong. */
    const withBody = (kind: Kind, command: Command, types: readonly string[]) => async (exchange: Exchange): Promise<Reply> => {
      const { bytes, json } = await bodyOf(exchange, types, command.takes.length === 0 ? {} : undefined)
      const request = requestOf(exchange, kind, command, {}, bytes)
      const input = command.read(valid(command.input, json))
      return respond(kind, await run(command.at === "create"
        ? commands.create({ ...request, input })
        : commands.change({ ...request, input, id: uuid(exchange.c.req.param("id")!) })))
    }

    const remove = (kind: Kind, command: Command, by: Commands["Service"]["change"]) => async (exchange: Exchange): Promise<Reply> =>
      respond(kind, await run(by({ ...requestOf(exchange, kind, command, {}, new Uint8Array()), id: uuid(exchange.c.req.param("id")!) })))

    const batch = (kind: Kind, command: Command) => async (exchange: Exchange): Promise<Reply> => {
      const { bytes, json } = await bodyOf(exchange, JSON_ONLY)
      const request = requestOf(exchange, kind, command, {}, bytes)
      const items = valid(Batch, json).items.map((item, i): Item<readonly FieldFault[]> => {
        const checked = check(command.input, item, `#/items/${i}`)
        return "faults" in checked ? { fault: checked.faults } : { input: command.read(checked.value) }
      })
      return batchAnswer(kind, await run(commands.createMany({ ...request, items })))
    }

    const batchAnswer = (kind: Kind, answer: BatchAnswer<readonly FieldFault[]>): Reply => {
      // Without `instance`: a repetition has the same bytes.
      const problem = (name: ProblemName, detail: string, errors?: readonly FieldFault[]) =>
        ({ type: `/problems/${name}`, title: PROBLEMS[name].title, status: PROBLEMS[name].status, detail, ...errors && { errors } })
      const results = answer.results.map((result, i) => {
        if (result.status === 201) return { status: 201, id: result.id, versionId: 1 }
        if (result.status === 409) return { status: 409, problem: problem(result.problem, PROBLEMS[result.problem].help) }
        // The kind's own judgement points into the item, not into the request.
        const faults = "fault" in result ? result.fault : result.faults.map(({ pointer, detail }) => ({ pointer: pointer.replace("#", `#/items/${i}`), detail }))
        return { status: 422, problem: problem("invalid", invalid(faults).message, faults) }
      })
      return json(200, { results }, {
        "Cache-Status": changeStatus(answer.synced),
        "Cache-Control": cachingOf(kind),
        ...answer.token && { "Consistency-Token": formatToken(answer.token, authenticate) },
        ...replayed(answer.replayed)
      })
    }

    const refusedStatus = changeStatus("nothing")
    return kinds.flatMap((kind) => Object.values(kind.commands).flatMap((command): readonly Route[] => {
      const scopes = [`${kind.scope}:write`], all = `/v1/${kind.plural}`
      const one = `${all}/:id`
      switch (command.at) {
        case "create": return [
          { method: "POST", path: all, scopes, refusedStatus, about: commandOperation(kind, command, JSON_ONLY), handle: withBody(kind, command, JSON_ONLY) },
          ...command.batch ? [{ method: "POST", path: `${all}/batch`, scopes, refusedStatus, about: batchOperation(kind, batchOf(command.input), JSON_ONLY), handle: batch(kind, command) } as const] : []
        ]
        case "change": return [{ method: "PATCH", path: one, scopes, refusedStatus, about: commandOperation(kind, command, PATCHES), handle: withBody(kind, command, PATCHES) }]
        case "delete": return [{ method: "DELETE", path: one, scopes, refusedStatus, about: commandOperation(kind, command, []), handle: remove(kind, command, commands.change) }]
        case "erase": return [{ method: "DELETE", path: one, scopes, refusedStatus, about: commandOperation(kind, command, []), handle: remove(kind, command, erasure.erase) }]
        // Part of an erasure: nobody asks for it.
        case "scrub": return []
        default: return [{ method: "POST", path: `${one}/${command.at.action}`, scopes, refusedStatus, about: commandOperation(kind, command, JSON_ONLY), handle: withBody(kind, command, JSON_ONLY) }]
      }
    }))
  })
