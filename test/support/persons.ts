import { randomInt, randomUUID } from "node:crypto";

const LETTERS = "abcdefghijklmnopqrstuvwxyz";
/** A word that nobody has written before. */
const word = (length = 10) => Array.from({ length }, () => LETTERS[randomInt(LETTERS.length)]).join("");
const digits = (length: number) => Array.from({ length }, () => randomInt(10)).join("");

const place = () => ({
  line1: `Straße des ${word()} 17½`,
  line2: `Hinterhaus ${word()}, 3. Étage`,
  city: `Köln-${word()}`,
  region: `Øvre ${word()}`,
  postcode: `${digits(5)}-${word(6)}`,
  country: `Česko ${word()}`,
});

/** Where a parcel goes, with every member; each text of it is found nowhere else in the world. */
export const newAddress = () => ({ name: `Grace Höpper-${word()}`, ...place() });

/** Somebody with everything that a customer may have. */
export const newPerson = () => {
  const family = word();
  return {
    name: `Zéphyrine Straußen${family}`,
    email: `Zephyrine.${family}.${word()}@${word()}.example.org`,
    phone: `+49 (30) ${digits(6)}-${digits(6)}`,
    address: newAddress(),
    marketingConsent: true,
  };
};
export type Person = ReturnType<typeof newPerson>;

export const newProduct = (fields: object = {}) => ({ sku: randomUUID(), name: "a lamp", price: { amount: 100, currency: "EUR" }, stock: 1_000_000, ...fields });
