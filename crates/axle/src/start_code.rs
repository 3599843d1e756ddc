//! The part of the program's own code that only the start runs.
//!
//! Routes, tables of options and migrations lie all over the program, and each first use of a page has Linux map the fifteen
//! beside it: when a server is ready, half of its code is resident, nearly all of it for the last time. Unmapped, these pages
//! count no more; what is needed after all is mapped again from the page cache, at its next use.

use std::fs;
use std::io;
use std::path::Path;

use rustix::mm::{Advice, madvise};

/// Gives back what is resident of the program's code. Returns how many bytes of it there are.
pub(crate) fn give_back() -> io::Result<usize> {
    let program = fs::read_link("/proc/self/exe")?;
    let mut bytes = 0;
    for (start, end) in code(&fs::read_to_string("/proc/self/maps")?, &program) {
        // SAFETY: The range is one of this program's code, which is mapped from its file and cannot be written to, so that
        // there is nothing to lose: whoever runs it next, also at this moment, has it mapped again with the same content.
        #[allow(unsafe_code)]
        unsafe {
            madvise(std::ptr::without_provenance_mut(start), end - start, Advice::LinuxDontNeed)?;
        }
        bytes += end - start;
    }
    Ok(bytes)
}

/// The ranges of addresses at which code of a program is mapped, and nothing that could have been changed. See proc_pid_maps(5).
fn code(maps: &str, program: &Path) -> Vec<(usize, usize)> {
    let range = |line: &str| {
        let mut fields = line.splitn(6, ' ');
        let (range, permissions) = (fields.next()?, fields.next()?);
        let path = fields.nth(3)?.trim_start();
        if permissions != "r-xp" || Path::new(path) != program {
            return None;
        }
        let (start, end) = range.split_once('-')?;
        let address = |text: &str| usize::from_str_radix(text, 16).ok();
        let (start, end) = (address(start)?, address(end)?);
        (start < end).then_some((start, end))
    };
    maps.lines().filter_map(range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_code_of_the_program_is_found() {
        let maps = "\
5638b57ba000-5638b6170000 r--p 00000000 fe:00 10105561                   /opt/axle/axle
5638b6170000-5638b879b000 r-xp 009b5000 fe:00 10105561                   /opt/axle/axle
5638b879b000-5638b889b000 r--p 02fdf000 fe:00 10105561                   /opt/axle/axle
5638b889b000-5638b88a7000 rw-p 030de000 fe:00 10105561                   /opt/axle/axle
7f0000000000-7f0000001000 r-xp 00000000 fe:00 77                         /usr/lib/libc.so.6
7f0000002000-7f0000003000 rwxp 00000000 fe:00 10105561                   /opt/axle/axle
7ffc00000000-7ffc00002000 r-xp 00000000 00:00 0                          [vdso]
nonsense
";
        assert_eq!(code(maps, Path::new("/opt/axle/axle")), [(0x5638_b617_0000, 0x5638_b879_b000)]);
    }

    #[test]
    fn a_program_goes_on_without_its_pages() {
        let given_back = give_back().unwrap();
        assert!(given_back > 100_000, "{given_back} bytes");
        // Everything from here on is mapped anew.
        assert_eq!(format!("{:?}", [1.5, 2.5].iter().sum::<f64>()), "4.0");
    }
}
