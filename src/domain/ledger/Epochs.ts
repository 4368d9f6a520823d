import { Context } from "effect"

/**
 * Which life of the database this process knows of: the newest epoch that a connection or a statement has shown. Only the
 * database is believed, for what stands in the cache may be forged.
 */
export class Epochs extends Context.Service<Epochs, {
  /** 0 until the database was asked. */
  readonly newest: () => number
  /** Takes note of an epoch. False where a newer one is known: what came with it is of a life that is over, and is not used. */
  readonly seen: (epoch: number) => boolean
  /** Calls at every change but the first epoch, before anything of the new life is used; answers how to be called no more. */
  readonly onChange: (listener: (epoch: number) => void) => () => void
}>()("holdfast/ledger/Epochs") {}

export const knownEpochs = (): Epochs["Service"] => {
  const listeners = new Set<(epoch: number) => void>()
  let newest = 0
  return {
    newest: () => newest,
    seen: (epoch) => {
      if (epoch <= newest) return epoch === newest
      const isFirst = newest === 0
      newest = epoch
      if (!isFirst) for (const listener of listeners) listener(epoch)
      return true
    },
    onChange: (listener) => {
      listeners.add(listener)
      return () => { listeners.delete(listener) }
    }
  }
}
