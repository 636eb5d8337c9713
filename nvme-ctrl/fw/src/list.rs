//! A list in static memory.

/// At most `N` items, in the order in which they came.
pub(crate) struct List<T, const N: usize> {
    items: [Option<T>; N],
    len: usize,
}

impl<T: Copy, const N: usize> List<T, N> {
    pub(crate) const fn new() -> Self {
        Self { items: [None; N], len: 0 }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many more items fit.
    pub(crate) const fn room(&self) -> usize {
        N - self.len
    }

    /// Appends an item. The caller has made sure that there is room.
    pub(crate) fn push(&mut self, item: T) {
        assert!(self.len < N, "the list is full");
        self.items[self.len] = Some(item);
        self.len += 1;
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.items[..self.len].iter().flatten()
    }

    /// The item at a place, if there is one.
    pub(crate) fn get(&self, index: usize) -> Option<T> {
        self.items.get(index).copied().flatten()
    }

    /// Where the first item is for which `wanted` holds.
    pub(crate) fn position(&self, wanted: impl FnMut(&T) -> bool) -> Option<usize> {
        self.iter().position(wanted)
    }

    /// Takes an item out; those behind it move up.
    pub(crate) fn remove(&mut self, index: usize) -> T {
        assert!(index < self.len, "the item is in the list");
        self.items[index..self.len].rotate_left(1);
        self.len -= 1;
        self.items[self.len].take().expect("an item of the list")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn items_stay_in_order() {
        let mut list = List::<u8, 4>::new();
        (1..=4).for_each(|item| list.push(item));
        assert_eq!(list.room(), 0);
        assert_eq!(list.remove(1), 2);
        list.push(5);
        assert_eq!(list.iter().copied().collect::<Vec<_>>(), [1, 3, 4, 5]);
        assert_eq!(list.position(|item| *item == 3), Some(1));
        assert_eq!([0, 3, 4].map(|index| list.get(index)), [Some(1), Some(5), None]);
        (0..4).for_each(|_| assert_ne!(list.remove(0), 0));
        assert!(list.is_empty());
    }
}
