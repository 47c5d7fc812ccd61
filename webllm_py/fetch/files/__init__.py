"""Files of a disk, of an archive, and those that the user of a page picked."""
