#![no_std]

pub const fn up(size: usize, to: usize) -> usize {
    size.div_ceil(to) * to
}
