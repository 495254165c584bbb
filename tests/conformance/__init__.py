"""What a service must answer to be the one that this package was written for.

    pytest tests/conformance                                     # the simulator, for nothing
    RUNCOMFY_TOKEN=... pytest tests/conformance \\
        --base-url https://model-api.runcomfy.net                # free checks only
    ... --budget 0.50 --differences differences.json             # and two generations

Each check states a fact that is written down about the wire and compares it with what the service
says. The simulator as it comes, without faults, is the measure: where a service does otherwise,
that is a difference and the check fails; where nobody has written down what is right, the
service's choice is noted and nothing fails. Nothing here uses the package's own reading of
answers, nor the simulator's writing of them.
"""
