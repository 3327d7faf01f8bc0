// Drives Keyward with alibaba-cloud-sdk-go: signature V1, parameters in the query.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth/credentials"
	sdkerrors "github.com/aliyun/alibaba-cloud-sdk-go/sdk/errors"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/responses"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/kms"

	"keyward.test/sdk/driver"
)

func main() { driver.Run(call) }

func call(caller driver.Caller, action string, parameters map[string]any) (any, error) {
	client, err := kms.NewClientWithOptions(driver.Region, sdk.NewConfig().WithAutoRetry(false), credential(caller))
	if err != nil {
		return nil, err
	}
	var answer any
	if method := reflect.ValueOf(client).MethodByName(action); method.IsValid() {
		answer, err = generated(method, caller, action, parameters)
	} else {
		answer, err = common(client, caller, action, parameters)
	}
	var refusal *sdkerrors.ServerError
	if errors.As(err, &refusal) {
		return nil, driver.Refused{Status: refusal.HttpStatus(), Code: refusal.ErrorCode()}
	}
	return answer, err
}

func credential(caller driver.Caller) auth.Credential {
	if caller.Token == "" {
		return credentials.NewAccessKeyCredential(caller.ID, caller.Secret)
	}
	return credentials.NewStsTokenCredential(caller.ID, caller.Secret, caller.Token)
}

// Makes a call with the generated request of an operation, as its Create…Request does.
func generated(method reflect.Value, caller driver.Caller, action string, parameters map[string]any) (any, error) {
	request := reflect.New(method.Type().In(0).Elem())
	rpc := &requests.RpcRequest{}
	rpc.InitWithApiInfo("Kms", driver.Version(action), action, "kms", "openAPI")
	rpc.Method, rpc.Scheme, rpc.Domain = requests.POST, caller.Protocol(), caller.Endpoint()
	request.Elem().FieldByName("RpcRequest").Set(reflect.ValueOf(rpc))
	delete(parameters, "RegionId") // the client says that itself
	if err := driver.FillStruct(request.Elem(), parameters, "name"); err != nil {
		return nil, err
	}
	results := method.Call([]reflect.Value{request})
	if err, _ := results[1].Interface().(error); err != nil {
		return nil, err
	}
	return results[0].Interface(), strictly(results[0])
}

// The client takes a number for a text and passes over what it does not know. Nothing in an answer should need that.
func strictly(response reflect.Value) error {
	content := response.Interface().(responses.AcsResponse).GetHttpContentBytes()
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	return decoder.Decode(reflect.New(response.Type().Elem()).Interface())
}

// Makes a call for an operation that the package does not have: of STS, or newer.
func common(client *kms.Client, caller driver.Caller, action string, parameters map[string]any) (any, error) {
	request := requests.NewCommonRequest()
	request.Product, request.Version, request.ApiName = "Kms", driver.Version(action), action
	request.Method, request.Scheme, request.Domain = requests.POST, caller.Protocol(), caller.Endpoint()
	for name, value := range parameters {
		request.QueryParams[name] = driver.Text(value)
	}
	response, err := client.ProcessCommonRequest(request)
	if err != nil {
		return nil, err
	}
	var answer any
	err = json.Unmarshal(response.GetHttpContentBytes(), &answer)
	return answer, err
}
