# What an engineer decides. What has no default has no sensible one: see terraform.tfvars.example.

variable "account_id" {
  description = "The AWS account to build in; with credentials of another one nothing is done"
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "An AWS account id has twelve digits; `aws sts get-caller-identity` shows yours."
  }
}

variable "region" {
  description = "The AWS region; HEED_AWS_REGION must name the same one"
  type        = string
  default     = "eu-central-1"

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "This is no region's name; eu-central-1 is one."
  }
}

variable "environment" {
  description = "Names everything that is built, and the secrets: heed/<environment>/<name>"
  type        = string
  default     = "production"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,14}[a-z0-9]$", var.environment))
    error_message = "3 to 16 lower-case letters, digits and hyphens: names of buckets and roles are made from it."
  }
}

variable "feedback_host" {
  description = "The host name at which customers find the form, such as feedback.example.com"
  type        = string

  validation {
    condition     = can(regex("^([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z]{2,}$", var.feedback_host))
    error_message = "A host name alone, in lower case: without https:// and without a path."
  }
}

variable "results_host" {
  description = "The host name at which managers find the results, such as results.example.com"
  type        = string

  validation {
    condition     = can(regex("^([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z]{2,}$", var.results_host))
    error_message = "A host name alone, in lower case: without https:// and without a path."
  }

  validation {
    condition     = var.results_host != var.feedback_host
    error_message = "The two sites need a host name each: their cookies must not meet."
  }
}

variable "zone_id" {
  description = "The Route 53 hosted zone that both host names belong to"
  type        = string

  validation {
    condition     = can(regex("^Z[A-Z0-9]{5,31}$", var.zone_id))
    error_message = "A hosted zone's id begins with Z; `aws route53 list-hosted-zones` shows yours."
  }
}

variable "api_allowed_cidrs" {
  description = "Networks from which the cluster's API may be reached (offices, Jenkins); never the whole internet"
  type        = list(string)

  validation {
    condition     = length(var.api_allowed_cidrs) > 0 && alltrue([for cidr in var.api_allowed_cidrs : can(cidrnetmask(cidr))])
    error_message = "At least one IPv4 network such as 203.0.113.7/32."
  }

  validation {
    condition     = alltrue([for cidr in var.api_allowed_cidrs : try(tonumber(split("/", cidr)[1]) >= 8, false)])
    error_message = "A network this wide is the internet; the cluster's API is not for everybody."
  }
}

variable "alert_email" {
  description = "Who is mailed when a message is given up, an alert fires or the budget is in danger"
  type        = string

  validation {
    condition     = can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", var.alert_email))
    error_message = "This is no e-mail address."
  }
}

variable "monthly_budget" {
  description = "US dollars a month; at 80 % spent and at 100 % forecast a mail is sent. Nothing is stopped"
  type        = number
  default     = 900

  validation {
    condition     = var.monthly_budget > 0
    error_message = "More than nothing."
  }
}

variable "vpc_cidr" {
  description = "The network of the VPC"
  type        = string
  default     = "10.20.0.0/16"

  validation {
    condition     = can(cidrnetmask(var.vpc_cidr)) && endswith(var.vpc_cidr, "/16")
    error_message = "An IPv4 network with /16: the subnets are cut from it."
  }
}

variable "zones" {
  description = "The letters of three availability zones of the region. Written down, since AWS may add one at any time"
  type        = list(string)
  default     = ["a", "b", "c"]

  validation {
    condition     = length(distinct(var.zones)) == 3 && alltrue([for letter in var.zones : can(regex("^[a-z]$", letter))])
    error_message = "Three different letters; `aws ec2 describe-availability-zones` shows which there are."
  }
}

variable "one_nat_gateway" {
  description = "One NAT gateway for all zones: some 75 dollars a month less, and no tickets while its zone is away"
  type        = bool
  default     = false
}

variable "kubernetes_version" {
  description = "Kubernetes' version; one minor version at a time"
  type        = string
  default     = "1.35"

  validation {
    condition     = can(regex("^1\\.[0-9]{2}$", var.kubernetes_version))
    error_message = "Such as 1.35."
  }
}

variable "node_types" {
  description = "Instance types of the nodes, x86; the first that is to be had is taken"
  type        = list(string)
  default     = ["m7i.large", "m6i.large"]

  validation {
    condition     = length(var.node_types) > 0
    error_message = "At least one."
  }
}

variable "nodes_per_zone" {
  description = "Nodes in each of the three zones: as many as pods need, within these. A volume cannot leave its zone, so no zone goes without a node"
  type        = object({ min = number, max = number })
  default     = { min = 1, max = 4 }

  validation {
    condition     = var.nodes_per_zone.min >= 1 && var.nodes_per_zone.max >= var.nodes_per_zone.min
    error_message = "At least one node in each zone, and not fewer at most than at least."
  }
}

variable "agent_nodes" {
  description = "Most nodes for Jenkins' agents, one for each build at a time, for main and for branches each; none where Jenkins builds elsewhere"
  type        = number
  default     = 0

  validation {
    condition     = var.agent_nodes >= 0 && var.agent_nodes <= 4 && floor(var.agent_nodes) == var.agent_nodes
    error_message = "From 0 to 4: Jenkins starts no more agents at once."
  }
}

variable "event_bus" {
  description = "Name of the EventBridge bus; HEED_EVENT_BUS must say the same"
  type        = string
  default     = "heed"

  validation {
    condition     = can(regex("^[A-Za-z0-9._-]{1,64}$", var.event_bus)) && var.event_bus != "default"
    error_message = "A bus of Heed's own: letters, digits, dots, hyphens."
  }
}

variable "event_queue" {
  description = "Name of the SQS queue that the rule feeds; HEED_EVENT_QUEUE must say the same"
  type        = string
  default     = "heed-tickets"

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,75}$", var.event_queue))
    error_message = "Up to 75 letters, digits, hyphens: `-dead` is added for the dead letters."
  }
}

variable "events_visibility" {
  description = "Seconds until a message that was not finished comes again; not shorter than the ledger's lease of a ticket"
  type        = number
  default     = 60

  validation {
    condition     = var.events_visibility >= 60 && var.events_visibility <= 43200
    error_message = "Between 60 (the ledger's lease) and 43200 seconds."
  }
}

variable "archive_days" {
  description = "Days that the bus keeps events, for looking back; they hold ids and scores, no words"
  type        = number
  default     = 14

  validation {
    condition     = var.archive_days >= 1 && var.archive_days <= 365
    error_message = "Between 1 and 365 days: 0 would keep them for ever."
  }
}

variable "admins" {
  description = "ARNs of the roles or users that rule the cluster; whoever applies this has to be one of them"
  type        = list(string)

  validation {
    condition     = length(var.admins) > 0 && alltrue([for arn in var.admins : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:(role|user)/", arn))])
    error_message = "At least one, each the ARN of a role or a user; not of a session, which begins with arn:aws:sts."
  }

  validation {
    condition     = length(setintersection(var.admins, var.deployers)) == 0
    error_message = "Who rules the cluster may deliver anyway: name each in `admins` or in `deployers`."
  }
}

variable "deployers" {
  description = "ARNs of the roles or users that deliver (Jenkins): they may look at the cluster, push images and change the namespace"
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.deployers : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:(role|user)/", arn))])
    error_message = "Each is the ARN of a role or a user."
  }
}

variable "delete_data" {
  description = "To let go of cluster, backups and secrets say `delete <environment>`, apply, and only then destroy"
  type        = string
  default     = ""

  validation {
    condition     = var.delete_data == "" || var.delete_data == "delete ${var.environment}"
    error_message = "Either nothing, or `delete ` and the environment's name: the data would go with it."
  }
}
