"""Tool calls as models write them: one syntax a family, incremental parsers, grammars."""
