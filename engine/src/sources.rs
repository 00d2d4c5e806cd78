//! Clocks of sources: lateness, steps, offsets. (see the module's owner)
