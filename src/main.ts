import { live } from "./start.ts"

await live("all")
