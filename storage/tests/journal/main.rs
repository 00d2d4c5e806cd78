//! The journal against real files and against a disk that loses, tears, refuses and flips.

mod real_files;
