/**
 * What was learnt of the keys that were used last: of so many at least, and of twice as many at most. Two generations, not
 * one order of use: to find again what was used lately then changes nothing, and costs a tenth.
 */
export class Latest<V> {
  #young = new Map<string, V>()
  #old = new Map<string, V>()
  readonly #least: number

  constructor(least: number) {
    this.#least = least
  }

  get(key: string): V | undefined {
    const value = this.#young.get(key)
    if (value !== undefined) return value
    const old = this.#old.get(key)
    if (old !== undefined) this.set(key, old)
    return old
  }

  set(key: string, value: V): void {
    if (this.#young.size === this.#least && !this.#young.has(key)) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(key, value)
  }
}
