import { holdfast } from "./holdfast.ts"

process.exitCode = await holdfast(process.argv.slice(2), process.env, {
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text)
})
