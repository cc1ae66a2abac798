//! The memory of the machine and of this process, as Linux reports it.

use std::fs;

/// Returns the bytes of memory that this process occupies; `None` where the system does not tell.
pub(super) fn resident() -> Option<usize> {
    kibibytes("/proc/self/status", "VmRSS:")
}

/// Returns the bytes of memory that are free or can be freed; `None` where the system does not
/// tell.
#[must_use]
pub fn available() -> Option<usize> {
    kibibytes("/proc/meminfo", "MemAvailable:")
}

/// Returns the number in the line of a file that begins with `field`, in bytes.
fn kibibytes(file: &str, field: &str) -> Option<usize> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    let number: usize = line.split_whitespace().next()?.parse().ok()?;
    number.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_occupies_some_memory_but_not_all() {
        if let (Some(mine), Some(free)) = (resident(), available()) {
            assert!(mine > 100_000 && free > 100_000);
        }
    }
}
