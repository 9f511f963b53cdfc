"""Both workers through random faults on real servers; the oracle is what brokers acknowledged to the producers.

plan        which fault comes when, drawn from a seed
oracle      what was acknowledged, and what of it is found in the end
producers   records, and poison among them
world       servers, the project, and the workers that are started again
faults      doing it
run         all together, and the verdict
"""
