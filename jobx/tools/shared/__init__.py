"""What commands share: exits, output, parsing, tables, the gateway's client."""
