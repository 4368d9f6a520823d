/** How many items have which name, by name in the order of the alphabet. */
export function countBy<T>(items: Iterable<T>, nameOf: (item: T) => string): Record<string, number> {
  return sortByName([...Map.groupBy(items, nameOf)].map(([name, group]) => [name, group.length]));
}

export const sortByName = (counts: Iterable<readonly [string, number]>): Record<string, number> =>
  Object.fromEntries([...counts].toSorted(([one], [other]) => (one < other ? -1 : 1)));
