import { mkdirSync } from "node:fs"
import { dirname, join } from "node:path"
import type { Command } from "commander"
import { writeKeyring } from "../infrastructure/crypto/keyringFile.ts"
import { folderOf } from "./database.ts"
import type { Surroundings } from "./holdfast.ts"

/** `keys generate`. Reads no configuration, for that may name the file that is to be made. */
export const addKeys = (program: Command, { environment, print }: Surroundings): void => {
  program.command("keys").description("the keys that seal tiers 2 and 3")
    .command("generate").description("make a keyring; a file that exists is left alone")
    .option("--file <file>", "where", environment["KEYRING_FILE"] || join(folderOf(environment), "keyring.json"))
    .action(({ file }: { readonly file: string }) => {
      try {
        mkdirSync(dirname(file), { recursive: true })
        writeKeyring(file)
      } catch (error) {
        const { code, syscall, message } = error as NodeJS.ErrnoException
        const taken = code === "EEXIST" && syscall === "open"
        throw new Error(taken ? `${file} exists already. What its keys sealed would be lost with them: name another file.` : `The keyring was not made: ${message}`, { cause: error })
      }
      print(`${file} was made, readable by you alone. Set KEYRING_FILE to it, and keep a copy: nothing opens without it.`)
    })
}
