"""Real flights, weather and planes, normalized to one standard event, into an index: the whole system on one machine.

story       what is played and shown, the same on both stages
embedded    the stage without servers: one SQLite file
servers     a real Kafka broker, schema registry and Elasticsearch node
workers     the two pipelines as processes
spoil       adds three bad records to the embedded stage
"""
