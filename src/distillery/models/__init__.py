"""One architecture per file, heads, and what loads and saves them."""
