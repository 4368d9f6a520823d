/**
 * How sensitive a field is. 1: catalogue, plain everywhere. 2: sealed in the cache. 3: personal data, of which the
 * cache holds only hashes and references. An entry has the tier of the most sensitive field that it shows.
 */
export type Tier = 1 | 2 | 3
