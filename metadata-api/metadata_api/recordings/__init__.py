"""Recorded v2 traffic: events of what models were asked and answered become predictions, off the way of any request.

`events` reads CloudEvents, `recorder` queues them and stores them in batches; `pairing` says what each call becomes,
`reading` turns v2 bodies into inputs and answers, `storing` writes them.
"""
