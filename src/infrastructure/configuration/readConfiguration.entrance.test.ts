import { expect, test } from "vitest"
import { readConfiguration } from "./readConfiguration.ts"

const issuer = { JWT_ISSUER: "https://issuer.example", JWT_AUDIENCE: "holdfast", JWT_JWKS_URL: "https://issuer.example/jwks" }

test("without variables nothing is limited, and no issuer is trusted", () => {
  expect(readConfiguration({}, "all")).toMatchObject({ RATE_LIMIT_PER_SECOND: null, JWT_ISSUER: null, JWT_AUDIENCE: null, JWT_JWKS_URL: null })
})

test("a limit is a number of requests", () => {
  expect(readConfiguration({ RATE_LIMIT_PER_SECOND: "100" }, "all").RATE_LIMIT_PER_SECOND).toBe(100)
  for (const wrong of ["0", "-1", "1.5", "many", "1000001"]) expect(() => readConfiguration({ RATE_LIMIT_PER_SECOND: wrong }, "all")).toThrow("RATE_LIMIT_PER_SECOND must be a whole number from 1 to 1000000")
})

test("an issuer has all three of its variables", () => {
  expect(readConfiguration(issuer, "all")).toMatchObject(issuer)
  for (const missing of Object.keys(issuer)) expect(() => readConfiguration({ ...issuer, [missing]: "" }, "all"), missing).toThrow("set all of them, or none")
  for (const only of Object.entries(issuer)) expect(() => readConfiguration(Object.fromEntries([only]), "all")).toThrow("set all of them, or none")
})

test("the keys of an issuer are had by http", () => {
  for (const wrong of ["ftp://issuer.example/jwks", "issuer.example/jwks", "file:///jwks"]) expect(() => readConfiguration({ ...issuer, JWT_JWKS_URL: wrong }, "all")).toThrow("JWT_JWKS_URL must be a URL")
})
