"""Files of servers: natively by the standard library, in a browser by its own ``fetch``."""
