"""v2 under the API's own address, for every name that it knows: a proxy that needs no database to answer."""
