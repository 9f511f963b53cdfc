"""Somebody is told: notices of workers become messages, and go to the addresses of ``[alerts]`` in ``prism.toml``.

    worker --notice--> Outbox --message--> Line, one an address --> Apprise

A worker never waits for any of this: it hands a notice over, and threads do the rest. And somebody asks:

    stores --survey--> Facts --assess--> Status --findings--> Finding
"""
