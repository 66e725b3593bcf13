//! Sorting a vector so that a meter can stop it.
//!
//! The standard library's sort cannot be left in the middle: when the meter says stop, its comparisons
//! would all fail one after the other. This one ends with the first failure.
//!
//! Invariant: stable; when a comparison fails, the vector is as it was.

use std::cmp::Ordering;

use rune::FromValue;
use rune::runtime::{Function, Value, Vec as RuneVec, VmError};

use super::compare;
use super::native::arguments;
use crate::fuel;

/// So many comparisons cost one unit.
const COMPARISONS_PER_UNIT: u64 = 4;

/// `Vec::sort`
pub(super) fn sort(given: &[Value]) -> Result<Value, VmError> {
    let [vec] = arguments(given)?;
    merge_sort(&mut vec.borrow_mut::<RuneVec>()?, compare::order)?;
    Ok(Value::from(()))
}

/// `Vec::sort_by`
pub(super) fn sort_by(given: &[Value]) -> Result<Value, VmError> {
    let [vec, comparator] = arguments(given)?;
    let comparator = Function::from_value(comparator.clone())?;
    merge_sort(&mut vec.borrow_mut::<RuneVec>()?, |a, b| {
        comparator.call::<Ordering>((a.clone(), b.clone())).into_result()
    })?;
    Ok(Value::from(()))
}

/// Merges runs of one, two, four, … places, then moves the values to their places.
fn merge_sort(
    values: &mut [Value],
    mut order: impl FnMut(&Value, &Value) -> Result<Ordering, VmError>,
) -> Result<(), VmError> {
    let count = values.len();
    fuel::charge(1 + u64::try_from(count).unwrap_or(u64::MAX) / COMPARISONS_PER_UNIT)?;
    let mut places: Vec<usize> = (0..count).collect();
    let mut merged = places.clone();
    let mut comparisons = 0;
    let mut width = 1;
    while width < count {
        for start in (0..count).step_by(2 * width) {
            let middle = (start + width).min(count);
            let end = (start + 2 * width).min(count);
            let (mut left, mut right) = (start, middle);
            for place in &mut merged[start..end] {
                let from_right = if left == middle {
                    true
                } else if right == end {
                    false
                } else {
                    comparisons += 1;
                    if comparisons == COMPARISONS_PER_UNIT {
                        comparisons = 0;
                        fuel::charge(1)?;
                    }
                    order(&values[places[left]], &values[places[right]])?.is_gt()
                };
                let next = if from_right { &mut right } else { &mut left };
                *place = places[*next];
                *next += 1;
            }
        }
        std::mem::swap(&mut places, &mut merged);
        width *= 2;
    }
    move_to(values, places);
    Ok(())
}

/// Moves the value at `places[i]` to place `i`, for every `i`, along the cycles of the permutation.
fn move_to(values: &mut [Value], mut places: Vec<usize>) {
    for start in 0..places.len() {
        let mut to = start;
        loop {
            let from = std::mem::replace(&mut places[to], to);
            if from == start || from == to {
                break;
            }
            values.swap(to, from);
            to = from;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(numbers: &[i64]) -> Vec<i64> {
        let mut values: Vec<Value> = numbers.iter().copied().map(Value::from).collect();
        merge_sort(&mut values, |a, b| Ok(a.as_signed().unwrap().cmp(&b.as_signed().unwrap()))).unwrap();
        values.iter().map(|value| value.as_signed().unwrap()).collect()
    }

    #[test]
    fn it_sorts_as_the_standard_library_does() {
        let mut state = 1u64;
        for length in (0..70).chain([127, 128, 129, 1000]) {
            let numbers: Vec<i64> = (0..length)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    i64::try_from(state >> 58).unwrap()
                })
                .collect();
            let mut expected = numbers.clone();
            expected.sort_unstable();
            assert_eq!(sorted(&numbers), expected);
        }
    }

    #[test]
    fn equal_values_keep_their_order() {
        let mut values: Vec<Value> = [31, 11, 22, 12, 21, 32].map(|n: i64| Value::from(n)).into();
        let tens = |value: &Value| value.as_signed().unwrap() / 10;
        merge_sort(&mut values, |a, b| Ok(tens(a).cmp(&tens(b)))).unwrap();
        let values: Vec<i64> = values.iter().map(|value| value.as_signed().unwrap()).collect();
        assert_eq!(values, [11, 12, 22, 21, 31, 32]);
    }

    #[test]
    fn a_comparison_that_fails_ends_it_and_changes_nothing() {
        let mut values: Vec<Value> = (0..100).rev().map(|n: i64| Value::from(n)).collect();
        let mut asked = 0;
        let failed = merge_sort(&mut values, |_, _| {
            asked += 1;
            if asked < 50 { Ok(Ordering::Greater) } else { Err(VmError::panic("no")) }
        });
        assert!(failed.is_err());
        assert_eq!(asked, 50);
        assert_eq!(values[0].as_signed().unwrap(), 99);
    }
}
