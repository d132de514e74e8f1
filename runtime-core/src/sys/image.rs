//! A program's memory in a clone of it: its segments mapped anew from another file, with that file as `/proc/self/exe`, and
//! the stack that it no longer needs.

use super::files::{cwd, openat2};
use super::{Call, Failed, Result, check};
use nix::errno::Errno;
use std::ffi::{c_int, c_void};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Another file for clones of this program to run from. What is asked of libc is asked before the clone.
#[derive(Debug)]
pub(crate) struct NewImage {
    file: OwnedFd,
    map: MemoryMap,
    image: Image,
}

impl NewImage {
    /// From `file`, which has to be this very program's file by another mount. Fails where the kernel would not let a clone
    /// run from there: that takes CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN in the user namespace, and
    /// CONFIG_CHECKPOINT_RESTORE.
    pub(crate) fn of(file: OwnedFd) -> Result<NewImage> {
        let new = NewImage { map: MemoryMap::own(file.as_fd())?, image: Image::own()?, file };
        match new.map.set() {
            // It would be allowed, were the old file not mapped any more.
            Err(Failed { errno: Errno::EBUSY, .. }) => Ok(new),
            Ok(()) => Err(Failed::new(Call::Prctl, Errno::EALREADY)),
            Err(failed) => Err(failed),
        }
    }

    /// What the clone has to keep until it runs from there.
    pub(crate) fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// In a clone, which has one thread: while a writable segment is exchanged nobody may write to it.
    ///
    /// `prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof map, 0)`, PR_SET_MM(2const), not before the last mapping of the old
    /// file is gone.
    pub(crate) fn enter(&self) -> Result<()> {
        for header in self.image.headers {
            if header.p_type == libc::PT_LOAD && header.p_filesz > 0 {
                self.image.map_again(header, self.file.as_fd())?;
            }
        }
        // What the dynamic linker, or the start-up code of a static program, had made read-only after its relocations.
        for header in self.image.headers.iter().filter(|header| header.p_type == libc::PT_GNU_RELRO) {
            let start = self.image.page_below(self.image.base + header.p_vaddr);
            let end = self.image.page_below(self.image.base + header.p_vaddr + header.p_memsz);
            protect(start, end - start)?;
        }
        let map = MemoryMap { brk: current_break(), ..self.map };
        match map.set() {
            Err(Failed { errno: Errno::EBUSY, .. }) => {
                self.forget_other_mappings()?;
                map.set()?;
            }
            other => other?,
        }
        // Of the host, and of no use any more.
        let number = self.file.as_raw_fd();
        super::close_range(number, number)
    }

    /// The program may have mapped its file to read from it, as whoever prints a backtrace does. A clone has no use for that.
    fn forget_other_mappings(&self) -> Result<()> {
        let own = find_mapping(|mapping| self.image.covers(mapping.start))?;
        let is_other = |mapping: &Mapping| {
            own.as_ref().is_some_and(|own| own.inode == mapping.inode) && !self.image.covers(mapping.start)
        };
        // Unmapping changes what is being read, so each is looked for from the start.
        while let Some(other) = find_mapping(is_other)? {
            let length = usize::try_from(other.end - other.start).unwrap_or(0);
            // SAFETY: not a part of the program as the kernel has loaded it; who has mapped it is not in this process, which
            // has one thread and runs nothing but this crate's code.
            let value = unsafe { libc::munmap(other.start as *mut c_void, length) };
            check(Call::Mmap, i64::from(value))?;
        }
        Ok(())
    }
}

/// A line of `/proc/PID/maps`.
struct Mapping {
    start: u64,
    end: u64,
    inode: u64,
}

/// The first mapping of this process that `is_it` says yes to; proc_pid_maps(5).
fn find_mapping(is_it: impl Fn(&Mapping) -> bool) -> Result<Option<Mapping>> {
    let maps = openat2(cwd(), c"/proc/self/maps", libc::O_RDONLY, 0, 0)?;
    let mut text = [0u8; 8192];
    let mut filled = 0;
    loop {
        let room = text.get_mut(filled..).unwrap_or(&mut []);
        let length = nix::unistd::read(&maps, room).map_err(Failed::from(Call::Read))?;
        filled += length;
        let known = text.get(..filled).unwrap_or(&[]);
        // A line is as long as its path, which is at most 4096 bytes.
        let end = known.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
        let lines = known.get(..end).unwrap_or(&[]).split(|&byte| byte == b'\n');
        if let Some(found) = lines.filter_map(mapping).find(&is_it) {
            return Ok(Some(found));
        }
        if length == 0 {
            return Ok(None);
        }
        text.copy_within(end..filled, 0);
        filled -= end;
    }
}

fn mapping(line: &[u8]) -> Option<Mapping> {
    let line = std::str::from_utf8(line.get(..line.len().min(100))?).ok()?;
    let mut words = line.split(' ');
    let (start, end) = words.next()?.split_once('-')?;
    let number = |text| u64::from_str_radix(text, 16).ok();
    // Its rights, its offset and its device stand between.
    Some(Mapping { start: number(start)?, end: number(end)?, inode: words.nth(3)?.parse().ok()? })
}

/// Other threads of the program may have moved it until the clone.
fn current_break() -> u64 {
    // SAFETY: a break of 0 is refused, and the refusal tells the one there is.
    unsafe { libc::syscall(libc::SYS_brk, 0usize) }.unsigned_abs()
}

/// `struct prctl_mm_map`: what the kernel remembers of a program's start, and its file. All but the file stays as it is.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct MemoryMap {
    start_code: u64,
    end_code: u64,
    start_data: u64,
    end_data: u64,
    start_brk: u64,
    brk: u64,
    start_stack: u64,
    arg_start: u64,
    arg_end: u64,
    env_start: u64,
    env_end: u64,
    /// None: the kernel keeps what it has.
    auxv: u64,
    auxv_size: u32,
    exe_fd: u32,
}

impl MemoryMap {
    fn own(file: BorrowedFd<'_>) -> Result<MemoryMap> {
        let stat = openat2(cwd(), c"/proc/self/stat", libc::O_RDONLY, 0, 0)?;
        let mut text = [0; 1024];
        let length = nix::unistd::read(stat, &mut text).map_err(Failed::from(Call::Read))?;
        let text = text.get(..length).unwrap_or(&[]);
        // The name, field 2, may itself have spaces and parentheses (proc_pid_stat(5)).
        let after_name = text.rsplit(|&byte| byte == b')').next().unwrap_or(&[]);
        let mut fields = [0; 52];
        for (field, word) in fields.iter_mut().skip(1).zip(after_name.split(|&byte| byte == b' ')) {
            *field = std::str::from_utf8(word).ok().and_then(|word| word.parse().ok()).unwrap_or(0);
        }
        let field = |number: usize| fields.get(number - 1).copied().unwrap_or(0);
        Ok(MemoryMap {
            start_code: field(26),
            end_code: field(27),
            start_data: field(45),
            end_data: field(46),
            start_brk: field(47),
            brk: current_break(),
            start_stack: field(28),
            arg_start: field(48),
            arg_end: field(49),
            env_start: field(50),
            env_end: field(51),
            auxv: 0,
            auxv_size: 0,
            exe_fd: file.as_raw_fd().unsigned_abs(),
        })
    }

    fn set(&self) -> Result<()> {
        let this: *const MemoryMap = self;
        // SAFETY: the kernel reads the struct, whose size is given, and checks that nothing of the old file is mapped.
        let value = unsafe {
            libc::prctl(libc::PR_SET_MM, libc::PR_SET_MM_MAP, this, size_of::<MemoryMap>(), 0usize)
        };
        check(Call::Prctl, i64::from(value)).map(drop)
    }
}

/// Where the program lies in memory; elf(5).
#[derive(Debug)]
struct Image {
    /// What was added to the addresses in the file.
    base: u64,
    headers: &'static [libc::Elf64_Phdr],
    page_size: u64,
}

impl Image {
    fn own() -> Result<Image> {
        extern "C" fn first(info: *mut libc::dl_phdr_info, _: usize, found: *mut c_void) -> c_int {
            // SAFETY: libc passes a struct that is valid during this call, and the pointer given below.
            unsafe { *found.cast::<Option<libc::dl_phdr_info>>() = Some(*info) };
            1
        }
        let mut found: Option<libc::dl_phdr_info> = None;
        // SAFETY: the callback stops at the first object, which is the program itself; `found` outlives the call.
        unsafe { libc::dl_iterate_phdr(Some(first), (&raw mut found).cast()) };
        // SAFETY: reads a number that the kernel gave at the start of the program.
        let page_size = unsafe { libc::getauxval(libc::AT_PAGESZ) };
        match found {
            Some(info) if !info.dlpi_phdr.is_null() && page_size.is_power_of_two() => Ok(Image {
                base: info.dlpi_addr,
                // SAFETY: the program's headers are part of its first segment, mapped for its whole life.
                headers: unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) },
                page_size,
            }),
            _ => Err(Failed::new(Call::Mmap, Errno::ENOEXEC)),
        }
    }

    fn page_below(&self, address: u64) -> u64 {
        address & !(self.page_size - 1)
    }

    /// Whether what is mapped from there on is a part of the program.
    fn covers(&self, start: u64) -> bool {
        self.headers.iter().filter(|header| header.p_type == libc::PT_LOAD).any(|header| {
            let first = self.page_below(self.base + header.p_vaddr);
            (first..self.base + header.p_vaddr + header.p_memsz).contains(&start)
        })
    }

    /// One segment, with the same content at the same place.
    fn map_again(&self, header: &libc::Elf64_Phdr, file: BorrowedFd<'_>) -> Result<()> {
        let start = self.page_below(self.base + header.p_vaddr);
        let end = self.page_below(self.base + header.p_vaddr + header.p_filesz + self.page_size - 1);
        let offset = self.page_below(header.p_offset);
        if header.p_flags & libc::PF_W == 0 {
            let flag = |elf: u32, map: c_int| if header.p_flags & elf == 0 { 0 } else { map };
            let protection = flag(libc::PF_R, libc::PROT_READ) | flag(libc::PF_X, libc::PROT_EXEC);
            return map(file, start, end - start, protection, libc::MAP_FIXED, offset).map(drop);
        }
        // All of its pages at once, where each by itself would be a fault: nearly all have been written to.
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let copy = map(file, 0, end - start, protection, libc::MAP_POPULATE, offset)?;
        let length = usize::try_from(end - start).unwrap_or(0);
        // SAFETY: both are mappings of this length; the segment's is readable, the copy is ours.
        unsafe { libc::memcpy(copy as *mut c_void, start as *const c_void, length) };
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        // SAFETY: the copy takes the place of what it is a copy of, in one call, and no other thread could have
        // written to that since. Nobody holds a pointer to where the copy was.
        let moved = unsafe { libc::mremap(copy as *mut c_void, length, length, flags, start as *mut c_void) };
        if moved == libc::MAP_FAILED { Err(Failed::new(Call::Mmap, Errno::last())) } else { Ok(()) }
    }
}

fn map(
    file: BorrowedFd<'_>,
    address: u64,
    length: u64,
    protection: c_int,
    flags: c_int,
    offset: u64,
) -> Result<u64> {
    let (length, offset) = (usize::try_from(length).unwrap_or(0), i64::try_from(offset).unwrap_or(-1));
    let flags = flags | libc::MAP_PRIVATE;
    // SAFETY: either a place of the kernel's choice, or one of this program's read-only segments, which gets the same
    // bytes of the same file: the code that runs there meanwhile does not change.
    let mapped =
        unsafe { libc::mmap(address as *mut c_void, length, protection, flags, file.as_raw_fd(), offset) };
    if mapped == libc::MAP_FAILED { Err(Failed::new(Call::Mmap, Errno::last())) } else { Ok(mapped as u64) }
}

fn protect(start: u64, length: u64) -> Result<()> {
    let length = usize::try_from(length).unwrap_or(0);
    // SAFETY: pages of this program that were read-only before they were mapped anew.
    let value = unsafe { libc::mprotect(start as *mut c_void, length, libc::PROT_READ) };
    check(Call::Mmap, i64::from(value)).map(drop)
}

/// Gives back the part of the main thread's stack that lies below this frame: what deep calls before the clone have left
/// there. For a cloned process that is about to wait.
///
/// `madvise(start, length, MADV_DONTNEED)`, madvise(2).
#[inline(never)] // inside another function's frame it would take away what that function has below
pub(crate) fn give_back_stack() {
    const AT_MOST: usize = 512 * 1024;
    let mark = 0u8;
    let here = &raw const mark as usize;
    // SAFETY: reads the address of 16 bytes that the kernel put above the main thread's first frame.
    let top = usize::try_from(unsafe { libc::getauxval(libc::AT_RANDOM) }).unwrap_or(0);
    // The stack of another thread is somewhere else, with other memory next to it.
    if !(here..here.saturating_add(AT_MOST)).contains(&top) {
        return;
    }
    // A page for the rest of this frame and what is called from here.
    let end = (here & !4095).saturating_sub(4096);
    // SAFETY: nobody uses the stack below the current frame, and the kernel keeps other mappings away from it by more than
    // this (stack_guard_gap, a megabyte). That some of it is not mapped is a failure without effect.
    unsafe { libc::madvise((end - AT_MOST) as *mut c_void, AT_MOST, libc::MADV_DONTNEED) };
}
