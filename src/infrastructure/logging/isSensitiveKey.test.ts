import { expect, test } from "vitest"
import { isSensitiveKey } from "./isSensitiveKey.ts"

test.each([
  "name", "firstName", "last_name", "surname", "customerName", "recipient-name", "email", "emailHash", "E-Mail", "phone", "phoneNumber", "mobile", "address", "shippingAddress", "remoteAddress",
  "addressLine2", "line1", "city", "postcode", "zip", "ip", "x-forwarded-for", "dateOfBirth", "iban", "password", "PGPASSWORD", "clientSecret", "token", "consistencyToken", "accessTokens", "apiKey",
  "BOOTSTRAP_API_KEY", "api-keys", "privateKey", "encryptionKeys", "Authorization", "proxy-authorization", "set-cookie", "credentials", "sessionId", "auth", "jwt"
])("%s is sensitive", (key) => {
  expect(isSensitiveKey(key)).toBe(true)
})

test.each([
  "kind", "id", "versionId", "route", "method", "status", "hostname", "kindName", "keyId", "queue", "position", "reason", "shippingAddressRef", "tokenizer", "piiRef", "sku", "description",
  "traceId", "zipped", "velocity", "subject", "stack", "message", "type", "author", "key"
])("%s is not", (key) => {
  expect(isSensitiveKey(key)).toBe(false)
})
