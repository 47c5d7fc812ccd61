"""Places that keep models: a folder, a browser's own file system, memory; what they write down."""
