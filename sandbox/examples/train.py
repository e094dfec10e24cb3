"""Training, by SageMaker's contract: hyperparameters from a file, the model into a folder."""

import json

with open("/opt/ml/input/config/hyperparameters.json") as file:
    factor = int(json.load(file)["factor"])
with open("/opt/ml/model/model.json", "w") as file:
    json.dump({"factor": factor}, file)
print("trained a model that multiplies by", factor)
