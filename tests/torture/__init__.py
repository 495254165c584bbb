"""The promises under everything that can go wrong, with one judge and with figures."""
