import { InvalidArgumentError } from "commander"
import type { Command } from "commander"
import { Effect } from "effect"
import { ApiKeys, SCOPES } from "../domain/access/ApiKeys.ts"
import type { Scope } from "../domain/access/ApiKeys.ts"
import { withTools } from "./database.ts"
import type { Surroundings } from "./holdfast.ts"
import { rowOf } from "./rowOf.ts"

/** Shown on terminals, so nothing that a terminal would act on. */
const NAME = /^[^\p{C}\p{Zl}\p{Zp}]{1,100}$/u

const parseName = (text: string): string => {
  if (!NAME.test(text)) throw new InvalidArgumentError("A name has 1 to 100 visible characters.")
  return text
}

const parseScopes = (text: string): readonly Scope[] => {
  const asked = [...new Set(text.split(",").map((scope) => scope.trim()))]
  const unknown = asked.filter((scope) => !SCOPES.includes(scope as Scope))
  if (unknown.length > 0) throw new InvalidArgumentError(`Unknown: ${unknown.map((scope) => JSON.stringify(scope)).join(", ")}. There are ${SCOPES.join(", ")}.`)
  return asked as readonly Scope[]
}

const row = rowOf(12, 24, 24, 20)

/** `api-keys create`, `list` and `revoke`. */
export const addApiKeys = (program: Command, surroundings: Surroundings): void => {
  const { print } = surroundings
  const group = program.command("api-keys").description("the keys of those who may come in")

  group.command("create").description("make a key, and print it this once")
    .requiredOption("--name <name>", "what it is for", parseName)
    .requiredOption("--scopes <a,b>", `any of ${SCOPES.join(", ")}`, parseScopes)
    .action(async ({ name, scopes }: { readonly name: string; readonly scopes: readonly Scope[] }) => {
      const { text } = await withTools(surroundings, Effect.flatMap(ApiKeys, (keys) => keys.create(name, scopes)))
      print(text)
    })

  group.command("list").description("show every key but its secret").action(async () => {
    const keys = await withTools(surroundings, Effect.flatMap(ApiKeys, ({ list }) => list))
    print(row("ID", "CREATED", "REVOKED", "NAME", "SCOPES"))
    for (const { id, createdAt, revokedAt, name, scopes } of keys) print(row(id, createdAt, revokedAt ?? "-", name, scopes.join(",")))
  })

  group.command("revoke").description("let a key in no more, within 5 s").argument("<id>", "as in list").action(async (id: string) => {
    const revoked = await withTools(surroundings, Effect.flatMap(ApiKeys, (keys) => keys.revoke(id)))
    if (!revoked) throw new Error("There is no key with this id that is not revoked already.")
    print("The key is revoked. Every process knows within 5 s.")
  })
}
